#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
struct FCollectionScalarParameter;
class UMaterialParameterCollection : public UObject {
 public:
  const FCollectionScalarParameter* GetScalarParameterByName(FName) const;
};
