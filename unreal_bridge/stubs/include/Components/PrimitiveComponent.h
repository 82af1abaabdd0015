#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
class UMaterialInterface;
class UPrimitiveComponent : public USceneComponent {
 public:
  uint8 bForceMipStreaming : 1;
  virtual void SetCollisionEnabled(ECollisionEnabled::Type);
  void SetRenderCustomDepth(bool);
  void SetCustomDepthStencilValue(int32);
  virtual int32 GetNumMaterials() const;
  virtual UMaterialInterface* GetMaterial(int32) const;
  virtual void SetMaterial(int32, UMaterialInterface*);
};
