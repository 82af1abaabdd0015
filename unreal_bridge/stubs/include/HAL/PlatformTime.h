#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
struct FPlatformTime { static double Seconds(); };
