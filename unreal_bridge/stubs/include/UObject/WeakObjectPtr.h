#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename T> class TWeakObjectPtr {
 public:
  TWeakObjectPtr(std::nullptr_t = nullptr);
  template <typename U, typename = std::enable_if_t<std::is_convertible<U*, T*>::value>> TWeakObjectPtr(U*) {}
  bool IsValid() const;
  void Reset();
  T* Get() const;
  T* operator->() const;
  T& operator*() const;
};
