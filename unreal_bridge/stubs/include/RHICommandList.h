#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class FRHITexture;
enum class ERHIAccess : uint32 { Unknown = 0, CopySrc = 1, SRVMask = 2 };
struct FRHITransitionInfo { FRHITransitionInfo(FRHITexture*, ERHIAccess, ERHIAccess); };
class FRHICommandList { public: void Transition(const FRHITransitionInfo&); };
class FRHICommandListImmediate : public FRHICommandList {};
