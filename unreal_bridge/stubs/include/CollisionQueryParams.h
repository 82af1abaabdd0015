#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
struct FCollisionQueryParams { FCollisionQueryParams(FName, bool); };
