#pragma once
#include "TmvStub.h"
TMV_STUB(1, 7)
#include "CoreMinimal.h"
struct FHitResult { FVector ImpactPoint; };
