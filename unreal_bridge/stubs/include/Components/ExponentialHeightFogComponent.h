#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
struct FExponentialHeightFogData { float FogDensity; };
class UExponentialHeightFogComponent : public USceneComponent {
 public:
  float FogDensity, FogHeightFalloff, FogMaxOpacity, StartDistance;
  FExponentialHeightFogData SecondFogData;
  uint8 bEnableVolumetricFog : 1;
  void SetFogDensity(float);
  void SetFogHeightFalloff(float);
  void SetSecondFogDensity(float);
  void SetFogMaxOpacity(float);
  void SetStartDistance(float);
  void SetVolumetricFog(bool);
};
