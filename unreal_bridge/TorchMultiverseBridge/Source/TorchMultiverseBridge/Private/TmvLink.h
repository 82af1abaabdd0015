// What the bridge needs of a way to its players. One implementation for each Pixel Streaming, in Links/.
#pragma once

#include "CoreMinimal.h"
#include "Templates/Function.h"
#include "Templates/UniquePtr.h"

class AActor;

/** All calls and callbacks are on the game thread. Both versions of Pixel Streaming answer every player at once. */
class ITmvLink
{
public:
	virtual ~ITmvLink() = default;

	/** Attaches to an actor of the world that is played; again after a change of the persistent level. */
	virtual bool Attach(AActor& Host, FString& OutError) = 0;
	virtual void Respond(const FString& Text) = 0;
	virtual void SendFile(const TArray64<uint8>& Bytes, const FString& Mime, const FString& Extension) = 0;

	/** The text of a UIInteraction. */
	TFunction<void(const FString&)> OnText;
	/** Nobody is connected any more. */
	TFunction<void()> OnAllLeft;
};

/** The link of this build; nullptr where it was built without Pixel Streaming. */
TUniquePtr<ITmvLink> MakeTmvLink();
