// Dynamic delegates call methods of objects: this one hands the text on.
#pragma once

#include "CoreMinimal.h"
#include "Templates/Function.h"
#include "UObject/Object.h"

#include "TmvInputRelay.generated.h"

UCLASS(Transient)
class UTmvInputRelay : public UObject
{
	GENERATED_BODY()

public:
	UFUNCTION()
	void OnInput(const FString& Descriptor)
	{
		if (Handler)
		{
			Handler(Descriptor);
		}
	}

	TFunction<void(const FString&)> Handler;
};
