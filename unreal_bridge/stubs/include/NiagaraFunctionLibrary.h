#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UNiagaraComponent;
class UNiagaraSystem;
class UNiagaraFunctionLibrary : public UObject {
 public:
  static UNiagaraComponent* SpawnSystemAtLocation(const UObject*, UNiagaraSystem*, FVector, FRotator = FRotator::ZeroRotator, FVector = FVector(1.), bool = true, bool = true);
};
