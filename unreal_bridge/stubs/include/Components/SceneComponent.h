#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/ActorComponent.h"
class USceneComponent : public UActorComponent {
 public:
  EComponentMobility::Type Mobility;
  void SetMobility(EComponentMobility::Type);
  void SetVisibility(bool, bool = false);
  FRotator GetComponentRotation() const;
  const FTransform& GetComponentTransform() const;
  void SetWorldLocation(FVector, bool = false, struct FHitResult* = nullptr, ETeleportType = ETeleportType::None);
  void SetWorldRotation(FRotator, bool = false, struct FHitResult* = nullptr, ETeleportType = ETeleportType::None);
  void SetWorldLocationAndRotation(FVector, const FQuat&, bool = false, struct FHitResult* = nullptr, ETeleportType = ETeleportType::None);
  void SetWorldTransform(const FTransform&, bool = false, struct FHitResult* = nullptr, ETeleportType = ETeleportType::None);
  virtual FBoxSphereBounds CalcBounds(const FTransform&) const;
};
