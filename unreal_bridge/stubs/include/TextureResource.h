#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class FRHITexture;
struct FTextureRHIRef { operator FRHITexture*() const; };
class FTextureRenderTargetResource { public: virtual const FTextureRHIRef& GetRenderTargetTexture() const = 0; };
