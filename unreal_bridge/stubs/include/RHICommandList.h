#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class FRHICommandList {};
class FRHICommandListImmediate : public FRHICommandList {};
