#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/MeshComponent.h"
class USkeletalMesh;
class UAnimationAsset;
class FActorComponentTickFunction;
namespace EAnimationMode { enum Type : int { AnimationBlueprint, AnimationSingleNode }; }
class USkeletalMeshComponent : public UMeshComponent {
 public:
  uint8 bPauseAnims : 1;
  virtual void SetSkeletalMesh(USkeletalMesh*, bool = true);
  void SetAnimationMode(EAnimationMode::Type);
  void SetAnimation(UAnimationAsset*);
  void SetPosition(float, bool = true);
  virtual void TickAnimation(float, bool);
  virtual void RefreshBoneTransforms(FActorComponentTickFunction* = nullptr);
};
