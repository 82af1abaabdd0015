#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
#include "Modules/ModuleInterface.h"
class FDefaultModuleImpl : public IModuleInterface {};
class FModuleManager {
 public:
  template <typename T> static T& LoadModuleChecked(const FName);
  template <typename T> static T& GetModuleChecked(const FName);
};
#define IMPLEMENT_MODULE(Class, Name) extern "C" IModuleInterface* TmvStubInitialize##Name() { return new Class(); }
