#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/PrimitiveComponent.h"
class UNiagaraComponent : public UPrimitiveComponent {
 public:
  void SetForceSolo(bool);
  void SetRandomSeedOffset(int32);
  void SetVariableFloat(FName, float);
  void AdvanceSimulation(int32, float);
  void SetPaused(bool);
};
