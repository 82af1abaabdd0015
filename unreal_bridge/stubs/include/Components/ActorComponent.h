#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
#include "Engine/EngineTypes.h"
class AActor;
struct FActorTickFunction { uint8 bCanEverTick : 1; };
class UActorComponent : public UObject {
 public:
  AActor* GetOwner() const;
  void RegisterComponent();
  bool HasBegunPlay() const;
  void DestroyComponent(bool = false);
  virtual void Activate(bool = false);
};
