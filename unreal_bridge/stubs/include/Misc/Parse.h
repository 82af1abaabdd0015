#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
struct FParse { static bool Value(const TCHAR*, const TCHAR*, FString&, bool = true); static bool Param(const TCHAR*, const TCHAR*); };
