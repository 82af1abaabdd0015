#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UDeveloperSettings : public UObject { public: virtual FName GetCategoryName() const; };
