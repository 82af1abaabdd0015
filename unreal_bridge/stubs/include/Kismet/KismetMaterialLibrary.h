#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UMaterialParameterCollection;
class UKismetMaterialLibrary : public UObject { public: static void SetScalarParameterValue(UObject*, UMaterialParameterCollection*, FName, float); };
