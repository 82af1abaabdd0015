#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
struct FCommandLine { static const TCHAR* Get(); };
