#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
namespace PipelineStateCache {
#if ENGINE_MINOR_VERSION >= 1
uint32 NumActivePrecacheRequests();
#endif
}
