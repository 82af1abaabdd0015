#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename T> class TStrongObjectPtr {
 public:
  TStrongObjectPtr(std::nullptr_t = nullptr);
  explicit TStrongObjectPtr(T*);
  bool IsValid() const;
  void Reset(T* = nullptr);
  T* Get() const;
  T* operator->() const;
  T& operator*() const;
};
