#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class IFileManager { public: static IFileManager& Get(); virtual void FindFiles(TArray<FString>&, const TCHAR*, bool, bool) = 0; };
