#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/PrimitiveComponent.h"
class UMeshComponent : public UPrimitiveComponent { public: virtual void PrestreamTextures(float, bool, int32 = 0); };
