#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "GameFramework/Actor.h"
class APlayerController;
class ULevelStreaming;
struct FCollisionQueryParams;
struct FActorSpawnParameters { ESpawnActorCollisionHandlingMethod SpawnCollisionHandlingOverride; };
class UWorld : public UObject {
 public:
  bool HasBegunPlay() const;
  bool IsPartitionedWorld() const;
  APlayerController* GetFirstPlayerController() const;
  const TArray<ULevelStreaming*>& GetStreamingLevels() const;
  bool LineTraceSingleByChannel(struct FHitResult&, const FVector&, const FVector&, ECollisionChannel, const FCollisionQueryParams&) const;
  template <typename T> T* SpawnActor(const FActorSpawnParameters& = FActorSpawnParameters());
  template <typename T> T* SpawnActor(UClass*, const FTransform&, const FActorSpawnParameters& = FActorSpawnParameters());
};
