#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
class IModuleInterface { public: virtual ~IModuleInterface() = default; virtual void StartupModule() {} virtual void ShutdownModule() {} };
