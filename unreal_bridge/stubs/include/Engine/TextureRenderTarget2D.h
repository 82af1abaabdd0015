#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Engine/Texture2D.h"
class FTextureRenderTargetResource;
enum ETextureRenderTargetFormat { RTF_R8, RTF_RGBA8, RTF_RGBA16f, RTF_R32f, RTF_RGBA32f };
class UTextureRenderTarget2D : public UTexture {
 public:
  int32 SizeX, SizeY;
  FLinearColor ClearColor;
  float TargetGamma;
  uint8 bForceLinearGamma : 1, bAutoGenerateMips : 1;
  ETextureRenderTargetFormat RenderTargetFormat;
  void InitCustomFormat(uint32, uint32, EPixelFormat, bool);
  void InitAutoFormat(uint32, uint32);
  void UpdateResourceImmediate(bool = true);
  FTextureRenderTargetResource* GameThread_GetRenderTargetResource();
};
