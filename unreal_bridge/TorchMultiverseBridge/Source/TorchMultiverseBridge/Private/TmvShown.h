// What the world really shows: each part writes here what it has done, and the scene's id is made of it.
#pragma once

#include "CoreMinimal.h"

#include <string>

#include "tmv/json.hpp"

/** Why a change cannot be made, and whether another try may help. */
struct FTmvRefusal
{
	FString Reason;
	bool bAgain = false;

	bool IsSet() const { return !Reason.IsEmpty(); }
	static FTmvRefusal Because(const FString& Reason, bool bAgain = false) { return {Reason, bAgain}; }
};

/** Copies a level that was applied. */
inline void TmvShow(const tmv::Value& Levels, const std::string& Wire, tmv::Value& OutShown)
{
	if (const tmv::Value* Found = Levels.find(Wire))
	{
		OutShown.set(Wire, *Found);
	}
}
