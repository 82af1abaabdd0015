#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Materials/MaterialInterface.h"
class UTexture;
class UMaterialInstanceDynamic : public UMaterialInterface {
 public:
  static UMaterialInstanceDynamic* Create(UMaterialInterface*, UObject*);
  void SetScalarParameterValue(FName, float);
  void SetVectorParameterValue(FName, FLinearColor);
  void SetTextureParameterValue(FName, UTexture*);
};
