#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Containers/Array.h"
#include "Containers/Map.h"
#include "Containers/UnrealString.h"
#include "Math/Vector.h"
#include "Templates/Function.h"
#include "Templates/SharedPointer.h"
#include "Templates/UniquePtr.h"
#include "UObject/NameTypes.h"
template <typename T> std::remove_reference_t<T>&& MoveTemp(T&& Value) { return static_cast<std::remove_reference_t<T>&&>(Value); }
struct FMath {
  template <typename A, typename B> static A Max(const A Left, const B) { static_assert(std::is_same<A, B>::value, "Max of two types"); return Left; }
  template <typename A, typename B> static A Min(const A Left, const B) { static_assert(std::is_same<A, B>::value, "Min of two types"); return Left; }
  template <typename T> static T Clamp(const T, const T, const T);
};
struct FMemory { static void* Memcpy(void*, const void*, SIZE_T); };
struct FDelegateHandle { bool IsValid() const; void Reset(); };
class UObject;
class UClass;
template <typename T> struct TObjectPtr {
  TObjectPtr(T* = nullptr) {}
  T* Get() const;
  operator T*() const;
  T* operator->() const;
  T& operator*() const;
};
