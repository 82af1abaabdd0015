// What still loads when a frame was drawn.
#pragma once

#include "CoreMinimal.h"

#include "tmv/settle.hpp"

class UWorld;

class FTmvSettleFacts
{
public:
	/** The world was changed: what the texture streamer said before is void until it has counted anew. */
	void Changed();
	tmv::Facts Look(const UWorld& World);

private:
	int32 CountedAtChange = 0;
	bool bCountIsOld = false;
	int32 FramesSince = 0;
};
