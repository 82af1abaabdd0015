#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class IConsoleVariable { public: virtual int32 GetInt() const = 0; virtual void Set(const TCHAR*) = 0; void Set(int32); };
class IConsoleManager { public: static IConsoleManager& Get(); virtual IConsoleVariable* FindConsoleVariable(const TCHAR*, bool = true) const = 0; };
