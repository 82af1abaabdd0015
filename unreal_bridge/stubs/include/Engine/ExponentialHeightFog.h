#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "GameFramework/Actor.h"
class UExponentialHeightFogComponent;
class AExponentialHeightFog : public AActor { public: UExponentialHeightFogComponent* GetComponent() const; };
