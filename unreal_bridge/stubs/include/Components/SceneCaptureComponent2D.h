#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
#include "Engine/Scene.h"
#include "ShowFlags.h"
class UTextureRenderTarget2D;
enum ESceneCaptureSource { SCS_SceneColorHDR, SCS_SceneColorHDRNoAlpha, SCS_FinalColorLDR, SCS_SceneColorSceneDepth, SCS_SceneDepth, SCS_DeviceDepth, SCS_Normal };
class USceneCaptureComponent : public USceneComponent {
 public:
  ESceneCaptureSource CaptureSource;
  uint8 bCaptureEveryFrame : 1, bCaptureOnMovement : 1;
  bool bAlwaysPersistRenderingState;
  FEngineShowFlags ShowFlags;
};
class USceneCaptureComponent2D : public USceneCaptureComponent {
 public:
  float FOVAngle;
  TObjectPtr<UTextureRenderTarget2D> TextureTarget;
  FPostProcessSettings PostProcessSettings;
  float PostProcessBlendWeight;
  uint32 bCameraCutThisFrame : 1;
  void CaptureScene();
};
