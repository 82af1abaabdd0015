#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
class IModularFeature { public: virtual ~IModularFeature() = default; };
