#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/SceneComponent.h"
class ULightComponentBase : public USceneComponent { public: float Intensity; FLinearColor GetLightColor() const; };
class ULightComponent : public ULightComponentBase { public: void SetLightColor(FLinearColor, bool = true); };
