#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
enum EAutoExposureMethod { AEM_Histogram, AEM_Basic, AEM_Manual };
struct FPostProcessSettings {
  uint8 bOverride_AutoExposureMethod : 1, bOverride_AutoExposureBias : 1, bOverride_AutoExposureApplyPhysicalCameraExposure : 1;
  uint8 bOverride_DepthOfFieldFstop : 1, bOverride_DepthOfFieldSensorWidth : 1, bOverride_DepthOfFieldFocalDistance : 1;
  uint8 bOverride_MotionBlurAmount : 1, bOverride_MotionBlurMax : 1, bOverride_MotionBlurTargetFPS : 1;
  uint8 AutoExposureApplyPhysicalCameraExposure : 1;
  EAutoExposureMethod AutoExposureMethod;
  float AutoExposureBias, DepthOfFieldFstop, DepthOfFieldSensorWidth, DepthOfFieldFocalDistance, MotionBlurAmount, MotionBlurMax;
  int32 MotionBlurTargetFPS;
  void AddBlendable(UObject*, float);
  void RemoveBlendable(UObject*);
};
