#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
class FShaderPipelineCache { public: static uint32 NumPrecompilesRemaining(); };
