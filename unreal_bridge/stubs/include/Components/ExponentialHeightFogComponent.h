#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
class UExponentialHeightFogComponent : public USceneComponent { public: float FogDensity; void SetFogDensity(float); };
