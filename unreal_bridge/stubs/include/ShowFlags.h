#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
struct FEngineShowFlags {
  void SetAntiAliasing(bool);
  void SetTemporalAA(bool);
  void SetMotionBlur(bool);
  void SetDepthOfField(bool);
  void SetBloom(bool);
  void SetFog(bool);
  void SetEyeAdaptation(bool);
};
