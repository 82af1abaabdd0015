#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "GameFramework/Actor.h"
class APlayerController : public AActor { public: void SetViewTargetWithBlend(AActor*, float = 0); };
