#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
class AActor : public UObject {
 public:
  typedef AActor Super;  // GENERATED_BODY makes it of each class
  FActorTickFunction PrimaryActorTick;
  bool SetRootComponent(USceneComponent*);
  bool Destroy(bool = false, bool = true);
  bool SetActorLocationAndRotation(FVector, const FQuat&, bool = false, struct FHitResult* = nullptr, ETeleportType = ETeleportType::None);
  template <typename T> void GetComponents(TArray<T*>&, bool = false) const;
  template <typename T> T* FindComponentByClass() const;
  template <typename T> T* CreateDefaultSubobject(FName, bool = false);
 protected:
  virtual void BeginPlay();
  virtual void EndPlay(const EEndPlayReason::Type);
};
