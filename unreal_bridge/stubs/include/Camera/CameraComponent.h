#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
#include "Engine/Scene.h"
class UCameraComponent : public USceneComponent {
 public:
  uint8 bConstrainAspectRatio : 1;
  FPostProcessSettings PostProcessSettings;
  virtual void SetFieldOfView(float);
};
