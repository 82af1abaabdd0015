#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "RHICommandList.h"
template <typename F> void TmvStubEnqueue(F&&) { static_assert(std::is_invocable<F, FRHICommandListImmediate&>::value, "a render command takes the command list"); }
#define ENQUEUE_RENDER_COMMAND(Name) struct Name##TmvStub {}; TmvStubEnqueue
