#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
// Editor builds only.
class FShaderCompilingManager { public: int32 GetNumRemainingJobs() const; };
extern FShaderCompilingManager* GShaderCompilingManager;
