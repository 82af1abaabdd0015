// World_Name: streams one level in and the last one out.
#pragma once

#include "CoreMinimal.h"
#include "UObject/WeakObjectPtr.h"

#include "TmvShown.h"
#include "TmvTables.h"

class UDataTable;
class ULevel;
class ULevelStreamingDynamic;
class UWorld;

class FTmvWorlds
{
public:
	enum class EState : uint8
	{
		Nothing,
		Loading,
		Shown,
		Failed,
	};

	/** Begins to show a row's level, or keeps it where it is shown already. */
	FTmvRefusal Show(UWorld& Host, const UDataTable& Table, const FString& Name);
	/** Looks how far it is; called every frame. */
	EState Poll();
	void Leave();

	const FTmvWorldRow& Row() const { return CurrentRow; }
	/** Name of the row whose level is loaded and visible; empty otherwise. */
	FString Shown() const;
	ULevel* Level() const;
	/** Rises with every level that is streamed in: what was found in the last one is void. */
	uint32 Generation() const { return Count; }
	/** Stage to world, without scale. */
	FTransform Stage() const;
	/** Height of the ground below a point of the stage, in the stage's frame. */
	double Ground(const FVector& Point) const;

private:
	TWeakObjectPtr<UWorld> World;
	TWeakObjectPtr<ULevelStreamingDynamic> Streaming;
	FTmvWorldRow CurrentRow;
	FString CurrentName;
	uint32 Count = 0;
};
