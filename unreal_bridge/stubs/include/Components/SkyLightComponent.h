#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/LightComponent.h"
class USkyLightComponent : public ULightComponentBase {
 public:
  bool bRealTimeCapture;
  void SetLightColor(FLinearColor);
  void RecaptureSky();
};
