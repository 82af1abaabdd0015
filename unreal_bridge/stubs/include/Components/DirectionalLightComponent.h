#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/LightComponent.h"
class UDirectionalLightComponent : public ULightComponent {};
