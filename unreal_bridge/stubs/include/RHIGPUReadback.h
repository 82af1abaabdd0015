#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class FRHICommandList;
class FRHITexture;
struct FResolveRect {};
class FRHIGPUMemoryReadback { public: bool IsReady(); };
class FRHIGPUTextureReadback : public FRHIGPUMemoryReadback {
 public:
  FRHIGPUTextureReadback(FName);
  void EnqueueCopy(FRHICommandList&, FRHITexture*, FResolveRect = FResolveRect());
  void* Lock(int32&, int32* = nullptr);
  void Unlock();
};
