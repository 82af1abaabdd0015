#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UGameplayStatics : public UObject { public: static bool SetGamePaused(const UObject*, bool); };
