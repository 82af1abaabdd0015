#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
enum EPixelFormat : uint8 { PF_Unknown, PF_A32B32G32R32F, PF_B8G8R8A8, PF_R32_FLOAT };
