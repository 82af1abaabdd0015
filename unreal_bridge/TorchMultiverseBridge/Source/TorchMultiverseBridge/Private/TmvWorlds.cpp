#include "TmvWorlds.h"

#include "CollisionQueryParams.h"
#include "Engine/DataTable.h"
#include "Engine/EngineTypes.h"
#include "Engine/Level.h"
#include "Engine/LevelStreamingDynamic.h"
#include "Engine/World.h"

#include "TmvVersion.h"

#if TMV_HAS_HIT_RESULT_HEADER
#include "Engine/HitResult.h"
#endif

FTmvRefusal FTmvWorlds::Show(UWorld& Host, const UDataTable& Table, const FString& Name)
{
	const FTmvWorldRow* Found = Table.FindRow<FTmvWorldRow>(FName(*Name), TEXT("World_Name"), false);
	if (Found == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("World_Name = '%s' is in no row of the table of worlds"), *Name));
	}
	if (Found->Level.IsNull())
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("World_Name = '%s': its row names no level"), *Name));
	}
	const bool bSameLevel = Streaming.IsValid() && World.Get() == &Host && Found->Level == CurrentRow.Level;
	CurrentRow = *Found;
	CurrentName = Name;
	if (bSameLevel)
	{
		return {};
	}
	Leave();
	CurrentRow = *Found;
	CurrentName = Name;
	World = &Host;
	++Count;
	bool bSuccess = false;
	Streaming = ULevelStreamingDynamic::LoadLevelInstanceBySoftObjectPtr(
		&Host, Found->Level, FVector::ZeroVector, FRotator::ZeroRotator, bSuccess);
	if (!bSuccess || !Streaming.IsValid())
	{
		Leave();
		return FTmvRefusal::Because(FString::Printf(
			TEXT("World_Name = '%s': %s cannot be streamed in; is it among the maps that are packaged?"), *Name,
			*Found->Level.ToString()));
	}
	Streaming->SetShouldBeLoaded(true);
	Streaming->SetShouldBeVisible(true);
	return {};
}

FTmvWorlds::EState FTmvWorlds::Poll()
{
	if (!Streaming.IsValid())
	{
		return CurrentName.IsEmpty() ? EState::Nothing : EState::Failed;
	}
	if (!Streaming->IsLevelLoaded() || !Streaming->IsLevelVisible())
	{
		return EState::Loading;
	}
	// The cells of a partitioned world stream by themselves, and what is missing of them is not seen from here.
	const ULevel* Loaded = Streaming->GetLoadedLevel();
	const UWorld* Outer = Loaded ? Loaded->GetTypedOuter<UWorld>() : nullptr;
	return Outer && Outer->IsPartitionedWorld() ? EState::Failed : EState::Shown;
}

void FTmvWorlds::Leave()
{
	if (Streaming.IsValid())
	{
		Streaming->SetShouldBeVisible(false);
		Streaming->SetShouldBeLoaded(false);
		Streaming->SetIsRequestingUnloadAndRemoval(true);
	}
	Streaming.Reset();
	CurrentName.Reset();
}

FString FTmvWorlds::Shown() const
{
	return Streaming.IsValid() && Streaming->IsLevelVisible() ? CurrentName : FString();
}

ULevel* FTmvWorlds::Level() const
{
	return Streaming.IsValid() ? Streaming->GetLoadedLevel() : nullptr;
}

FTransform FTmvWorlds::Stage() const
{
	return FTransform(FRotator(0., CurrentRow.StageYaw, 0.), CurrentRow.Stage);
}

double FTmvWorlds::Ground(const FVector& Point) const
{
	if (!World.IsValid())
	{
		return 0.;
	}
	// From two metres above the stage downwards: a ceiling must not be taken for the ground.
	const FVector Below = Stage().TransformPosition(FVector(Point.X, Point.Y, 0.));
	FHitResult Hit;
	const bool bHit = World->LineTraceSingleByChannel(Hit, Below + FVector(0., 0., 200.), Below - FVector(0., 0., 2000.),
		ECC_Visibility, FCollisionQueryParams(TEXT("TmvGround"), true));
	return bHit ? Hit.ImpactPoint.Z - CurrentRow.Stage.Z : 0.;
}
