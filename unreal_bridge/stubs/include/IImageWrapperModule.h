#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "IImageWrapper.h"
#include "Modules/ModuleInterface.h"
class IImageWrapperModule : public IModuleInterface { public: virtual TSharedPtr<IImageWrapper> CreateImageWrapper(const EImageFormat) = 0; };
